"""Pictures of every page that a customer sees, each looked over for what would hinder anybody: `make screenshots`."""
