"""What travels between members and the gateway: JSON forms, signed requests, problem documents."""
