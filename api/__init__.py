"""The gateway: it speaks the platforms' protocols and relays what others signed. It has no power of its own."""
