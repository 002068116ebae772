"""What the subjects say: plain sentences of our own, rich in lip closures, rounded and open vowels."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

OWN = {
    "ada": (
        "Good morning, and welcome to our small museum by the river.",
        "My name is Ada, and I will show you the old maps before lunch.",
        "People came from far away to trade wool, butter and blue paper.",
        "If you move a bit closer, you may see how the coast was drawn.",
        "Please follow me to the blue room up these stairs.",
    ),
    "ben": (
        "Hello, I'm Ben, and I have repaired bicycles for about fifteen years.",
        "First put the frame on the bench and open both brake levers.",
        "A smooth wheel should spin freely without a wobble or a murmur.",
        "Then pump up the tubes, wipe off the mud, and oil every joint.",
        "Now you're ready to go.",
    ),
}

BANK = (
    "The ferry leaves at five from the pier below the lighthouse.",
    "We baked plum bread and shared a pot of mint tea.",
    "Both of my brothers moved to Vienna last February.",
    "You can hear the owls whenever the wind drops.",
    "Bob bought four ripe apples for the pie.",
    "The choir will perform a few more songs after the break.",
    "Put the blue vase on the table beside the window.",
    "Our village has a market every Thursday morning.",
    "She whispered a rhyme while the baby slept.",
    "Heavy fog may cover the valley before evening.",
    "I would rather walk home than wait for the bus.",
    "They planted pumpkins, beans and a row of poppies.",
    "A warm bath and a good book make a perfect evening.",
    "The museum opens at ten and closes at half past four.",
    "Five white boats floated across the quiet bay.",
    "Remember to water the herbs above the sink.",
    "My favourite film begins with a very long train ride.",
    "We saw foxes, beavers and a huge brown moth.",
    "How many people fit on that wooden bridge?",
    "Thank you for the map, it helped us a great deal.",
    "Everyone clapped when the power came back.",
    "The path goes up through the woods to a small chapel.",
    "Open the jar with care, the jam is still warm.",
    "I'll phone you on Monday, probably before noon.",
    "Hello there.",
    "See you soon.",
    "What a fine day.",
    "Maybe a bit more.",
)

_ROUNDS = 12  # of about a minute each: longer subjects end in silence


def script(name: str, seed: int) -> Iterator[str]:
    """A named subject's own sentences first, then the bank again and again, each time in another order of the seed's."""
    yield from OWN.get(name, ())
    rng = np.random.default_rng([seed, 4])
    for _ in range(_ROUNDS):
        yield from (BANK[k] for k in rng.permutation(len(BANK)))
