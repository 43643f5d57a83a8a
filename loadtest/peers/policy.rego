# May this mail pass? One keyed look-up for the sender's domain, one for the client address; each
# finds the demands that hold there, and all of them must be met.
package postern

default allow := false

allow if {
	not domain_refused
	not network_refused
}

# Over gRPC the question is the body of the request, over REST it is the input.
question := body if body := input.parsed_body

else := input

domain_refused if fails(domain_demands)

domain_refused if fails_for_recipient(domain_demands.by_recipient)

network_refused if fails(network_demands)

network_refused if fails_for_recipient(network_demands.by_recipient)

# The demands at the sender's domain: by the domain itself, else by the most specific pattern.
domain_demands := demands if demands := data.agreement.exact[question.domain]

else := [demands |
	some pattern in question.sender_patterns
	demands := data.agreement.patterns[pattern]
][0]

# The demands of the longest prefix that holds the client address.
network_demands := [found.demands |
	some found in data.agreement.networks[question.bucket]
	net.cidr_contains(found.network, question.client_ip)
][0]

# What holds for this recipient, where that matters.
fails_for_recipient(choices) if {
	fails([demands |
		some pattern in question.recipient_patterns
		demands := choices[pattern]
	][0])
}

fails(demands) if question.tls < demands.least

fails(demands) if {
	question.tls > 0
	question.tls < demands.least_of_tls
}

fails(demands) if {
	demands.networks
	not listed(demands.networks)
}

fails(demands) if {
	demands.certificate
	not certified(demands.certificate)
}

fails(demands) if {
	demands.either
	not listed(demands.either.networks)
	not certified(demands.either.certificate)
}

listed(networks) if {
	some network in networks
	net.cidr_contains(network, question.client_ip)
}

certified(certificate) if {
	pinned := certificate.fingerprints
	some fingerprint in question.fingerprints
	pinned[fingerprint]
}

certified(certificate) if {
	names := certificate.names
	question.trusted
	some name in question.names
	names[name]
}

certified(certificate) if {
	some suffix in certificate.suffixes
	question.trusted
	some name in question.names
	endswith(concat("", [".", name]), suffix)
}
