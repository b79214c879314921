"""The config room: what the operator wrote, validated into frozen structs."""
