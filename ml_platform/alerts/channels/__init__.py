"""One module a kind of channel: how it lays a message out, and how it hands it over."""
