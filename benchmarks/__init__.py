"""Open-loop load on a Talkspurt server, seen from outside; METHODOLOGY.md defines what is measured."""
