"""What the system tests stand on: certificates, PostgreSQL servers, gateways, an identity provider."""
