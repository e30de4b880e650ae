"""Who may do what: permissions, roles, the actor, the wall between sites. No tables."""
