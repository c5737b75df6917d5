"""Ray clusters that the platform starts itself: what they are, who holds them, how they end."""
