# Inbound connectors as data, and Postern's decision about them: one look-up for each name that
# the sender's domain goes by, not one rule for each connector. src/peers/rego.rs makes the data.
#
# What Rego does not have, and how it is got round:
# - An address cannot be masked to a prefix, so the caller gives the networks that the client's
#   address lies in (`input.networks`, for each prefix length that the set has), longest first.
# - The patterns that cover a domain could be made here ("mail.contoso.com": itself,
#   "*.mail.contoso.com", "*.contoso.com", "*.com", "*"), but the caller is faster at it
#   (`input.senders`, `input.recipients`).
# - Names and versions are read and lower-cased by the caller, as Postern's facts are.
# - There is no "first that states": a chain is a list, and a demand its first entry that has it.
# - No sentences and no reply are made, and reports are not weighed.
package postern

# `decision` is {"verdict": ..., "reasons": [...]}.
default decision := {"verdict": "ACCEPT", "reasons": []}

decision := {"verdict": "CONDITIONAL", "reasons": []} if {
	open
} else := {"verdict": first.by, "reasons": reasons} if {
	first := unmet[0]
}

open if {
	not input.recipient_known
	some key in array.concat(input.senders, input.networks)
	data.nodes[key].scoped
}

unmet := array.concat(of_sender, of_address)

reasons := array.concat(
	[u.reason | some u in of_sender],
	[u.reason | some u in of_address; not given_by_sender[u.reason]],
)

given_by_sender[reason] := true if some {"reason": reason} in of_sender

of_sender := demands(chain(input.senders))

of_address := demands(chain(input.networks))

# ---------------------------------------------------------------- which connectors apply

# The connectors that apply, the most specific first.
chain(from) := [connector |
	some key in from
	node := data.nodes[key]
	some connector in at(node)
]

at(node) := array.concat(
	[c | some key in input.recipients; c := node.scoped[key]],
	[c | c := node.unscoped],
)

# ---------------------------------------------------------------- what they demand

demands(connectors) := array.concat(array.concat(tls, version), origin(connectors, count(tls))) if {
	tls := tls_unmet(connectors)
	version := version_unmet(connectors)
}

tls_unmet(connectors) := [{"reason": "TLS_REQUIRED", "by": c.action}] if {
	not input.tls
	c := [of | some of in connectors; of.tls][0]
	c.tls == "encrypt"
} else := []

version_unmet(connectors) := [{"reason": "TLS_VERSION_TOO_LOW", "by": c.action}] if {
	c := [of | some of in connectors; of.min_version][0]
	input.tls.version < c.min_version
} else := []

origin(connectors, tls_refused) := [{"reason": r, "by": c.action} | some r in origin_reasons(c, tls_refused)] if {
	c := [of | some of in connectors; of.origin][0]
} else := []

origin_reasons(c, tls_refused) := [] if {
	c.origin == "unrestricted"
} else := [] if {
	c.either
	at_home(c)
} else := [] if {
	c.either
	proof(c) == []
} else := array.concat(certificate_reasons(c, tls_refused), address_reasons(c))

certificate_reasons(c, tls_refused) := proof(c) if {
	tls_refused == 0
	c.certificate
} else := []

address_reasons(c) := ["CLIENT_IP_NOT_ALLOWED"] if {
	c.client_ips
	not at_home(c)
} else := []

at_home(c) if {
	some network in c.client_ips
	net.cidr_contains(network, input.client_ip)
}

# Why the certificate is not one of those demanded.
proof(c) := ["CERTIFICATE_REQUIRED"] if {
	not input.tls.certificate
} else := [] if {
	pinned(c)
} else := ["CERTIFICATE_FINGERPRINT_MISMATCH"] if {
	count(c.names) == 0
} else := array.concat(input.tls.certificate.trust_reasons, name_reasons(c))

pinned(c) if {
	some pin in c.fingerprints
	pin in input.tls.certificate.fingerprints
}

name_reasons(c) := [] if {
	named(c)
} else := ["CERTIFICATE_NAME_MISMATCH"]

named(c) if {
	some name in c.names
	some presented in input.tls.certificate.names
	names(name, presented)
}

names(name, presented) if name == presented

# Configured "*.x.com": x.com and all below it, wildcards too.
names(name, presented) if {
	startswith(name, "*.")
	trim_prefix(presented, "*.") == trim_prefix(name, "*.")
}

names(name, presented) if {
	startswith(name, "*.")
	endswith(presented, trim_prefix(name, "*"))
}

# Presented "*.x.com": exactly one label, with two more behind it.
names(name, presented) if {
	startswith(presented, "*.")
	not startswith(name, "*.")
	labels := split(name, ".")
	count(labels) > 2
	concat(".", array.slice(labels, 1, count(labels))) == trim_prefix(presented, "*.")
}
