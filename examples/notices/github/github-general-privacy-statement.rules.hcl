# Rules for the notice github-general-privacy-statement.md, which is not part of this folder.
# How to lay them over it stands in ../README.md.

document "statement" {
  controller = "GitHub, Inc., United States"
  law_of     = residence
}

bind "from-you" {
  text = "sha256:a40f66ca202c355a05f89e30dd49316491d6941458dcfeef8311e7e5fe6e7f1d"
  data "account" {
    handle   = "GitHub handle"
    name     = "name"
    email    = { words = "email address", format = email, find = many }
    password = "password"
    payment  = { words = ["payment information", "payment specifics"], many = true }
    billing  = { words = "billing address", format = address }
    deals    = { words = "transaction information", many = true }
  }
  data "content" {
    files    = { words = ["user content and files"], many = true }
    feedback = { words = ["feedback", "feedback data"], many = true }
  }
  data "profile" {
    demographic = ["demographic information", "ethnicity", "gender", "demographic details"]
    about       = ["profile information", "photo", "job title", "biography", "company name"]
  }
  data "support" {
    matter = { words = "support data", many = true }
  }
}

bind "automatically" {
  text = "sha256:b40979132508d2ff8166f48939cdefd5091841778cbae54215235d53a30f5342"
  data "usage" {
    address  = { words = "IP address", format = ip, many = true }
    device   = { words = ["device information", "device type and ID"], many = true }
    session  = { words = "session details", many = true }
    time     = { words = ["date and time of requests", "date and time of visit"], many = true }
    os       = "operating system"
    place    = "regional geolocation data"
    referrer = "referring site"
    pages    = { words = "pages viewed", many = true }
    clicks   = { words = ["links clicked", "link clicks"], many = true }
  }
}

bind "processing-purposes-how-we-use-your-personal-data" {
  text = "sha256:a435338ab88a58b4ce17cc2e343c1333a38b8170e0361f1d902f21bff49cbeea"
  data "inferred" {
    place = { words = "general geographic location", derived_from = [usage.address] }
  }
  purpose "inference" {
    words   = ["inference", "infer"]
    uses    = [usage.address, inferred.place]
    basis   = legitimate_interest
  }
}

bind "sharing-of-personal-data" {
  text = "sha256:fc2d2a825bec7f2ef89062dfbc551c4fa64f0d0e37773672db1272399c603339"
  recipient "affiliates" {
    class    = affiliate
    members  = register
    contract = { covers = residence, lapse = closes }
  }
  recipient "authorities" {
    words = ["competent authorities", "public authorities", "authorized law enforcement", "regulators", "courts"]
    class = authority
  }
  recipient "resellers" {
    words    = "partners and resellers"
    class    = partner
    members  = register
    contract = { covers = residence, lapse = closes }
  }
  recipient "subprocessors" {
    words    = ["subprocessors and service providers", "list of subprocessors"]
    class    = processor
    members  = register
    contract = { covers = residence, lapse = closes }
  }
  without_consent "lawful requests" {
    acts  = [disclose]
    when  = [law.requires, law.expressly_permits]
    order = { authority = required, citation = required, scope = required }
  }
}

bind "private-repositories-github-access" {
  text = "sha256:f5375d6130b273cfa6eb3283f627d11091149e450e85192a2db69460023e2aa7"
  data "repository" {
    private = { words = ["private repository information", "private repositories"], many = true }
  }
  purpose "support" {
    words   = "support matter"
    uses    = [repository.private]
    basis   = consent
    keep    = consent.ended
  }
  example "nobody looks without a yes" {
    given   = [lives(US)]
    refused = read(support, repository.private)
    because = no_consent
  }
}

bind "security" {
  text = "sha256:4bc4706603825bf2997daecb7f08d38e4f0d2292d83138ab3bd7a9887b7a13ba"
  level "base" { floor_for = [account, content, profile, usage, inferred, repository, cookie] }
}

bind "information-for-minors" {
  text        = "sha256:a87d7f43f38a6dda403eb8de315218e1b4353d5880c764ebcf68ffc6efee00c9"
  informative = "says for whom the services are not meant, and promises nothing that a rule could keep"
}

bind "how-do-we-and-our-partners-use-cookies-and-similar-technologies" {
  text = "sha256:dcf56bcb023b25fb41e1874c3f2b9631c64b6d89c3b0fd3cf16f4fc0cce119f9"
  data "cookie" {
    settings = ["preferences and settings", "language preferences"]
    pages    = { words = "pages you visit", many = true }
    links    = { words = "links you click on", many = true }
    ids      = { words = "similar usage information", many = true }
  }
  purpose "website_functions" {
    words = "essential website functions"
    uses  = [cookie.settings]
    basis = legitimate_interest
    keep  = obtained + 24 * months
  }
  purpose "advertising" {
    words   = ["targeted advertising", "personalized advertising"]
    uses    = [cookie.pages, cookie.links, cookie.ids]
    basis   = consent
    ask     = separate
    honours = [gpc]
    keep    = consent.ended
  }
  recipient "ad_partners" {
    words    = ["advertising partners", "analytics and advertising partners"]
    class    = advertiser
    members  = register
    gets     = { advertising = [cookie.pages, cookie.links, cookie.ids] }
    contract = { covers = residence, lapse = closes }
  }
  tracker "required cookies" {
    cookie = { purpose = website_functions, sees = [cookie.settings], after = load, strict = true }
  }
  tracker "advertising cookies" {
    cookie = { purpose = advertising, host = ad_partners, sees = [cookie.pages, cookie.links, cookie.ids], after = consent }
  }
  example "advertising waits for a yes" {
    given   = [lives(US)]
    refused = collect(advertising, cookie.pages)
    because = no_consent
  }
}

bind "cookies-and-tracking-technologies" {
  text     = "sha256:4b2fabcb11ffdbcb3fa1b38d943d13383b8890cada208d8b505b85c9182b6621"
  suppress = [{ code = prose_not_in_rules, name = usage.address, reason = "what a pixel tag tells; declared under #automatically" },
    { code = purpose_not_in_rules, name = advertising, reason = "bound under #how-do-we-and-our-partners-use-cookies-and-similar-technologies" }]
  data "reading" {
    opened = { words = "opened an email", many = true }
  }
  purpose "mail_opened" {
    words = "email communications more effective"
    uses  = [reading.opened]
    basis = legitimate_interest
  }
  tracker "pixel tag" { pixel = { purpose = mail_opened, sees = [reading.opened], after = load } }
}

bind "shine-the-light-act" {
  text        = "sha256:8ff54cd48432bbbf9ebfc80120f8295a2f1769aa2c2933aaad0bcf961849b6d0"
  informative = "says that nobody receives data for marketing of their own; no recipient of these rules does"
}

bind "what-are-cookies-and-similar-technologies" {
  text        = "sha256:c32489b3c56a1069ca1eda18b36fbf476dd852be8ebb4ca3037bd77e6f5cb671"
  informative = "explains what cookies are"
}

bind "nevada" {
  text = "sha256:79d8d9d228ae801ef252c3a2c440ce8481e3cadf2df5ae67edf079df7beca9ed"
  never "sale of covered information" { give = { what = any, against = value } }
}

bind "github-privacy-statement" {
  text        = "sha256:ec68230fdac974b88fb3263ba37784af8759e7349a756e240eb387e6abff029e"
  informative = "an introduction"
}

bind "end-user-notice-organization-provided-github-accounts" {
  text        = "sha256:d5262d7b5b5a181394c1ca189dd9fe57422b0251284acdae80d915f9ff9e1238"
  informative = "says when somebody else is the controller"
}

bind "third-party-access-and-data-protection" {
  text        = "sha256:5e50c3feb4745041c603c3e3e184c2daa91bcf7ef020f47f99530d1dc25ce27f"
  informative = "points at the statements of others"
}

bind "personal-data-we-collect" {
  text        = "sha256:b8037d29f3e609c3360564756b4db5ebff8c8d21ac1cf98e96bc86481f85fed8"
  informative = "an introduction to the headings below it"
}

bind "from-third-parties" {
  text        = "sha256:d10409f907ac93bcbebccf8b6d29ba5af5fedba8292edb32e738aee67424eb0e"
  informative = "names sources, and no data that a rule could name apart from those above"
}

bind "lawful-bases-for-processing-personal-data-applicable-to-eea-and-uk-end-users" {
  text        = "sha256:73e5c2a2452df78bc418cad428279abbd26ef0c7c5cb7bf4c6362d68b4a96708"
  informative = "lists legal bases without saying which serves which purpose"
}

bind "your-privacy-rights" {
  text        = "sha256:a1a68a44a0288e597586bcdb74c3aa793f9c0ec920b2eefb6f0876e55e05bd03"
  informative = "rights that law gives and a desk carries out"
}

bind "international-data-transfers" {
  text        = "sha256:e86831d87d6202fbb6b5e7074e366caa02deadb7d3a8fe26c8273da920431921"
  informative = "names the legal instruments of a transfer; contracts are facts of the register"
}

bind "data-privacy-framework-dpf" {
  text        = "sha256:0cc75043d49943ce4f61977aae0ec76180d366eb52a153766c57b9a2621151ce"
  informative = "a certification"
}

bind "dispute-resolution-process" {
  text        = "sha256:ebbbdf5031c8c133afbbfe761a10f8318cda2b0161cec81cc3fb0c60852600b6"
  informative = "where to complain"
}

bind "government-enforcement" {
  text        = "sha256:70174f6c60db1d11805c674d38fd3593fa98008b820f71273ea06faea2698180"
  informative = "who supervises"
}

bind "contact-us" {
  text        = "sha256:cfbe1e8b89000f140af6bc00f817b58be42c8a1201d533a2161b088d2360167f"
  informative = "addresses"
}

bind "changes-to-our-privacy-statement" {
  text        = "sha256:51fd703f457b8c6d4bdc97002afeee79fdfc4fc586306d888a94d15912d810a1"
  informative = "how the notice itself changes"
}

bind "translations" {
  text        = "sha256:6077364fe7ea451ebf9dc9777f68a915becf4210e69c66a3b67dd4869bb2640b"
  informative = "which language counts"
}

bind "us-state-specific-information" {
  text        = "sha256:812d5afa3036faf961fd49b1867c01936486e4b6605513bb45665457d5fa7b6d"
  informative = "an introduction to the headings below it"
}

bind "privacy-rights" {
  text        = "sha256:01dfdb00b446c5a1bfb8f6fabe133610bd0655c72d27198b6bf3f1fe529b8fb7"
  informative = "rights that law gives and a desk carries out"
}

bind "exercising-your-privacy-rights" {
  text        = "sha256:e81f096b2259baad09867182a257cce8edacac42ff44b606ecd9784deb61b986"
  informative = "how to write to the desk"
}

bind "removal-of-content" {
  text        = "sha256:9e90a65e6c5c48a0c59d79dfb415b7918f9cb1ae0ee77691772909dff6f7f31d"
  informative = "a right that law gives and a desk carries out"
}

bind "coloradoconnecticutvirginia" {
  text        = "sha256:b065b0adc4497593702a93d7def7b95e89d51978ed87ec0c2e911633b64e55f1"
  informative = "rights that law gives and a desk carries out"
}
