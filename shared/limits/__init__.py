"""Rolling-window rate limits: one Lua include, one RateLimiter."""
