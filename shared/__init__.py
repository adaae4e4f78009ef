"""The rooms every service shares: truth in Postgres, motion in Redis, and what campaigns mean."""
