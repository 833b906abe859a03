"""What the gateway says of the market: read off the chain's events each time, so a reorganisation needs no repair."""
