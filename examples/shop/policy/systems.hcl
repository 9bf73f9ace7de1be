# Where data lives. This file is checked with the policy and is not published.

system "vault" {
  holds = [person.name, person.phone, person.email, person.address, person.birth, person.gender,
           person.place, person.account, person.imei, person.orders, person.invoice, person.talk,
           person.feedback, others.number, taste.browsing, taste.shortlist, ads.cookie, ads.hash,
           profile.post]
  obeys = [withdraw, rectify, restrict, erase]
  via   = vault
  answer_within = 1 * days
}

system "object storage" {
  holds = [person.files]
  obeys = [rectify, restrict, erase]
  via   = s3
  answer_within = 2 * days
}

system "message relay" {
  holds = [log.history]
  obeys = [restrict, erase]
  via   = http
  answer_within = 1 * days
}

system "web servers" {
  holds = [visit.address, visit.page, visit.anon, visit.system, web.browser, web.provider,
           web.referrer, web.exit, web.os, web.time, web.clicks]
  obeys = [erase]
  via   = files
  answer_within = 2 * days
}

system "measurement" {
  holds = [site.number, site.route]
  obeys = [withdraw, erase]
  via   = postgres
  answer_within = 2 * days
}

system "counters" {
  holds = [nobody.device, nobody.system]
  via   = vault
  answer_within = 1 * days
}

system "the person's own browser" {
  holds = [browser.choices, basket.number]
  obeys = [erase]
  via   = browser
  answer_within = 1 * days
}
