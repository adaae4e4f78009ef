"""The queue engine: one method and one Lua file per transition."""
