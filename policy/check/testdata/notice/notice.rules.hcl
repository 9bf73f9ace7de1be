document "notice" { controller = "Harbour Ferries Ltd, Hong Kong" }

bind "harbour-ferries-and-your-data" { informative = "a welcome" }

bind "when-you-buy-a-ticket" {
  data "person" {
    name  = "name"
    email = { words = "e-mail address", format = email }
    photo = "photograph"
    birth = { words = "date of birth", format = date }
    card  = "card number"
    phone = { words = "telephone number", format = phone }
  }
  purpose "ticket" {
    words = "issue the ticket"
    uses  = [person.name, person.email, person.photo]
    basis = contract
    keep  = obtained + 2 * years
  }
}

bind "paying" {
  recipient "processor" {
    words    = "payment processor"
    class    = processor
    gets     = { ticket = [person.card] }
    contract = { covers = residence, lapse = closes }
  }
}

bind "cameras-on-deck" {
  data "deck" { recording = { words = "recordings", keep = obtained + 7 * days } }
  purpose "safety" {
    words = "something has happened"
    uses  = [deck.recording]
    basis = legitimate_interest
    keep  = obtained + 7 * days
  }
}

bind "what-we-dont-do" {
  never "sale of addresses" { give = { what = person.email, against = value } }
}
