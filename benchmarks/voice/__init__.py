"""How well a voice is understood through the telephone, stage by stage."""
