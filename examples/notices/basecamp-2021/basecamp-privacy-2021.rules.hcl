# Rules for the notice basecamp-privacy-2021.md, which is not part of this folder.
# How to lay them over it stands in ../README.md.

document "privacy" {
  controller = "Basecamp LLC, United States"
  law_of     = residence
}

bind "privacy-policy" {
  text = "sha256:aea7f0357c71f608bc3c397aca3a1dab88307b1abae84029eb5c3657e98e1ba0"
  never "sale" { give = { what = any, against = value } }
}

bind "identity--access" {
  text = "sha256:02ff6af8c387e39ed5b4fc19bd7c329535ec231f83d56e5a4dd2f3826cfad3e3"
  data "account" {
    name    = "name"
    email   = { words = "email address", format = email, find = unique }
    company = "company name"
    picture = "profile picture"
  }
  purpose "account" {
    words   = ["personalize your new account", "essential information"]
    uses    = [account.name, account.email, account.company, account.picture]
    basis   = contract
    keep    = account.cancelled + 60 * days
  }
  purpose "marketing_statements" {
    words = "marketing statements"
    uses  = [account.name, account.company]
    basis = consent
    keep  = consent.ended
  }
  service "account" {
    needs   = [account.name, account.email]
    wants   = [account.company, account.picture]
    serves  = [account]
    reports = [account.cancelled]
  }
  example "no permission, no statement" {
    given   = [lives(US)]
    refused = use(marketing_statements, account.name)
    because = no_consent
  }
}

bind "billing-information" {
  text = "sha256:66112c6c26c1b48bb2fa1fccab0ab4cff908dbd28b1247f5f78d1a71c166bff4"
  data "billing" {
    card    = "credit card"
    address = { words = "billing address", format = address }
    digits  = "last 4 digits of the credit card number"
    payment = "record of the payment transaction"
  }
  purpose "billing" {
    words   = ["charge you for service", "billing support", "account history"]
    uses    = [billing.card, billing.address, billing.digits, billing.payment]
    basis   = contract
    keep    = account.cancelled + 60 * days
  }
  recipient "payment_processor" {
    words    = "payment processor"
    class    = processor
    gets     = { billing = [billing.card] }
    contract = { covers = residence, lapse = closes }
  }
  example "the card goes to the processor" {
    given     = [lives(US), contract(payment_processor, US)]
    permitted = disclose(billing, billing.card, payment_processor)
  }
}

bind "geolocation-data" {
  text = "sha256:91bb7288a4fe649153f858efa156744ad3019022de4e8c58d350aa6004601f62"
  data "access" {
    address = { words = "IP address", format = ip, many = true }
    login   = { words = "login data", many = true }
  }
  purpose "access_control" {
    title   = "verifying that no unauthorized access has happened"
    words   = "verify no unauthorized access has happened"
    uses    = [access.address, access.login]
    basis   = legitimate_interest
    keep    = account.cancelled
  }
}

bind "website-interactions" {
  text = "sha256:305cbd1d631ca001dae25bd4a22985526ad4ff7b5aaf8ee2e71106b8b351c657"
  data "web" {
    os       = { words = "operating system" }
    browser  = { words = "browser version" }
    pages    = { words = "pages you are visiting", many = true }
    timing   = { words = "page load timing", many = true }
    referrer = { words = "website referred you" }
    clicks   = { words = "link clicks", many = true }
    account  = { words = "user account" }
  }
  purpose "analytics" {
    words = "statistical purposes"
    uses  = [web.os, web.browser, web.pages, web.timing, web.referrer, web.clicks, web.account, access.address]
    basis = legitimate_interest
    keep  = obtained + 30 * days
    then  = unlink
  }
  example "blind after a month" {
    given   = [lives(US), obtained(web.pages, 31 * days)]
    refused = read(analytics, web.pages)
    because = retention_passed
  }
}

bind "anti-bot-assessments" {
  text = "sha256:4da116047576a0a5952fab825c5760fedc2138712ee44637b0c9dfacefb7c7e4"
  suppress = [{ code = prose_not_in_rules, name = subprocessors, reason = "the subprocessor meant here is the CAPTCHA service" }]
  data "behaviour" {
    stay  = "how long the visitor has been on the app"
    mouse = "mouse movements"
  }
  purpose "antispam" {
    words = ["spam protection", "anti-spam mitigation"]
    uses  = [access.address, behaviour.stay, behaviour.mouse]
    basis = legitimate_interest
  }
  recipient "captcha" {
    words    = "CAPTCHA service"
    class    = processor
    gets     = { antispam = [access.address, behaviour.stay, behaviour.mouse] }
    contract = { covers = residence, lapse = closes }
  }
}

bind "cookies-and-do-not-track" {
  text = "sha256:c5a9578904501a505bd8940f8792ed2c9f1b64969880131f108bcd7bab855a90"
  data "cookie" {
    login       = "login information"
    preferences = ["site preferences", "certain preferences"]
  }
  purpose "convenience" {
    words = "make it easier for you to use our applications"
    uses  = [cookie.login, cookie.preferences]
    basis = legitimate_interest
  }
  tracker "first party" {
    cookie = { purpose = convenience, sees = [cookie.login, cookie.preferences], after = load }
  }
}

bind "voluntary-correspondence" {
  text = "sha256:66efe323684521fe89b410c3ab00216c8961ae9aec53512747d498304764e177"
  data "letters" {
    correspondence = { words = "correspondence", many = true }
    surveys        = { words = "surveys", many = true }
    recording      = { words = "record the conversation", many = true }
  }
  purpose "help" {
    words   = "ask for help"
    uses    = [letters.correspondence, account.email]
    basis   = contract
    keep    = account.cancelled
  }
  purpose "volunteered" {
    words = "information you volunteer"
    uses  = [letters.surveys]
    basis = consent
  }
  purpose "interviews" {
    words = "customer interviews"
    uses  = [letters.recording]
    basis = consent
    keep  = consent.ended
  }
  example "no recording without a yes" {
    given   = [lives(US)]
    refused = collect(interviews, letters.recording)
    because = no_consent
  }
}

bind "information-we-do-not-collect" {
  text = "sha256:23603b348dbd5b50a6e4427bd4d2d0626fefd3aab2b1633fdcaa89b3fb2a3736"
  data "protected" {
    traits    = ["age", "race", "gender", "religion", "sexual orientation", "gender identity", "gender expression", "physical and mental abilities or disabilities"]
    biometric = "biometric data"
  }
  never "protected characteristics" { process = { what = [protected.traits, protected.biometric] } }
}

bind "how-we-approach-mobile-app-permissions" {
  text = "sha256:b4729d96e9115f1d89d0695ac6b22b644c4ebf427c594ffbfb7c9641a181705e"
  data "device" {
    contacts = { words = "contacts", many = true }
    camera   = "camera"
    calendar = { words = "calendar", many = true }
    files    = { words = "device files", many = true }
  }
  purpose "app_features" {
    words   = "app experience"
    uses    = [device.contacts, device.camera, device.calendar, device.files]
    basis   = consent
    keep    = consent.ended
  }
}

bind "when-we-access-or-share-your-information" {
  text = "sha256:1d5e3ca2ce6abaf760e47966342286aeab3ffb018d72fcb64243e0473f5cc4d8"
  recipient "subprocessors" {
    words    = ["third-party services", "subprocessors"]
    class    = processor
    members  = register
    contract = { covers = residence, lapse = closes }
  }
  suppress = [{ code = prose_not_in_rules, name = billing.address, reason = "what a tax audit may see; the scope of its order opens it" }]
  recipient "authorities" {
    words = ["appropriate authorities", "law enforcement authorities", "government authority", "tax authority"]
    class = authority
  }
  without_consent "under applicable law" {
    acts  = [use, disclose]
    when  = [law.requires]
    order = { authority = required, citation = required, scope = required }
  }
}

bind "your-rights-with-respect-to-your-information" {
  text        = "sha256:22da7e2abfc7bc052f0388cd29c979a9cac778af391d6184acd2d4bb5039baa0"
  informative = "rights that law gives and a desk carries out; no rule of the policy language says them"
}

bind "how-we-secure-your-data" {
  text = "sha256:d13bf393438340f383f4052f095bb969b84c3420d9b1755fa2f054af306aa810"
  level "base" { floor_for = [account, billing, access, web, behaviour, cookie, letters, device] }
}

bind "what-happens-when-you-delete-data-in-your-product-accounts" {
  text = "sha256:2041e76847a6895afd49c70e080b87ce226e26d0676a1652050ca737d9082864"
  data "content" {
    trash = { words = ["trashed data", "trash data"], many = true, keep = obtained + 90 * days }
  }
  purpose "trash" {
    words = "accessible trash can"
    uses  = [content.trash]
    basis = contract
    keep  = obtained + 90 * days
  }
}

bind "location-of-site-and-data" {
  text        = "sha256:23c4f1e47766466ea66b2df7de333f4cf678bb7450d0dc50e765c06bfc4aec18"
  informative = "says where the machines stand"
}

bind "when-transferring-personal-data-from-the-eu" {
  text        = "sha256:604cce76e60ea9af205653bb9eee2942314768a575c784eb9d62d2155d1f8a35"
  informative = "names the legal instruments of a transfer; contracts are facts of the register"
}

bind "eu-us-and-swiss-us-privacy-shield-policy" {
  text        = "sha256:6f8bd51ccfba739e70e0a1c5048e9a4713d98c13b06daad524d8b75964f20ccf"
  informative = "history of a treaty"
}

bind "we-comply-with-the-frameworks-for-eu-uk-and-swiss-data-that-are-transferred-into-the-united-states" {
  text = "sha256:911f1dddab70bef39c19bcc59d40bef71e7f6521495588563d020ca40c6f9690"
  suppress = [{ code = prose_not_in_rules, name = authorities, reason = "bound under #when-we-access-or-share-your-information" }]
  never "sale of transferred data" { give = { what = any, against = value } }
}

bind "we-commit-to-resolving-all-complaints" {
  text        = "sha256:0b119fe0238429096c88c45281893ec9e898f09f32fb063bad3b6c885e8a18cf"
  informative = "where to complain"
}

bind "changes--questions" {
  text        = "sha256:77c88bb88df70946bee867877b40bc88e91b0e999cf3c3c7dd588871b906224d"
  informative = "how the notice itself changes"
}

bind "what-we-collect-and-why" {
  text        = "sha256:9d6df5137f4dc474e06aef0a70eeae66ac7a05eeb6e2d5dbdb8648552e2ee3b9"
  informative = "an introduction to the headings below it"
}
