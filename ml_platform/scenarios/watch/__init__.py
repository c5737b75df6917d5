"""What a trigger looks at: each look becomes a small fingerprint and a sentence to read."""
