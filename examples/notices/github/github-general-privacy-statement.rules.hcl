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
    files    = { words = ["user content and files", "code", "inputs", "text", "documents", "images", "multimedia files"], many = true }
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
    device   = { words = ["device information", "device type", "device type and ID"], many = true }
    session  = { words = "session details", many = true }
    time     = { words = ["date and time of requests", "date and time of visit"], many = true }
    os       = "operating system"
    place    = "regional geolocation data"
    referrer = "referring site"
    pages    = { words = "pages viewed", many = true }
    clicks   = { words = ["links clicked", "link clicks"], many = true }
    opens    = { words = "opens", many = true }
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
    keep    = account.closed
    at_most = obtained + 30 * years
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
  recipient "partners" {
    words    = ["partners and resellers"]
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
    ids      = { words = "identifiers", many = true }
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
    refused = collect(advertising, cookie.pages)
    because = no_consent
  }
}

bind "shine-the-light-act" {
  text = "sha256:8ff54cd48432bbbf9ebfc80120f8295a2f1769aa2c2933aaad0bcf961849b6d0"
  never "third parties' direct marketing" { give = { what = any, against = value } }
}

bind "nevada" {
  text = "sha256:79d8d9d228ae801ef252c3a2c440ce8481e3cadf2df5ae67edf079df7beca9ed"
  never "sale of covered information" { give = { what = any, against = value } }
}
