"""Running methods on subjects: a plan of cells, a worker process for each, and what they leave behind.

``plan`` says which cells there are, ``preflight`` makes sure that they can be done before anything starts, ``executor``
gives each a process of its own, ``cell`` is what happens in there, ``results`` reads a run folder back.
"""
