"""Methods that are a program, not a plugin: a container image or a command of the host, described by one TOML.

The contract is files: the harness writes a folder, the program trains into another, renders frames into a third
(docs/docker.md). ``spec`` is the TOML, ``find`` finds it, ``method`` makes a :class:`bench.contract.Method` of it. A step
(``step``) is one command with its mounts and limits; ``container`` runs it in Docker, ``host`` without. ``inputs`` writes what
a program is given, ``outputs`` reads what it made. ``plan`` says all of that without doing it.
"""
