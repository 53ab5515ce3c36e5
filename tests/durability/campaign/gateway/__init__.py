"""The campaign of the gateway: upstreams that misbehave, clients that leave, workers that are killed."""
