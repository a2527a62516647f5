"""Values at places of a document, and the errors that name the place."""

from __future__ import annotations

import pickle

from keyhier.placement.node import MalformedError


def test_an_error_about_a_place_survives_pickle() -> None:
    error = MalformedError("/id", "no id of a resource", remedy="give the whole id")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is MalformedError
    assert (str(again), vars(again)) == (str(error), vars(error))
