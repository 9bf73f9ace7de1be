system "vault" {
  holds = [person.name, person.email, person.phone, person.postal, person.birth, person.account, person.imei,
           person.orders, person.receipt, person.photos, person.feedback, visit.address, visit.pages]
  obeys = [withdraw, rectify, erase]
}
