"""An explicit-state checker: small models of the protocol, every interleaving of them up to a bound."""
