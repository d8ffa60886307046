"""Rollouts: one release going to a filtered set of devices, in stages that stop by themselves.

Open `decide.py` first: it says what happens next and why, as a function of values. `engine.py` reads the
state, asks it and writes; `acting.py` is what people do; `answers.py` is what devices say. Nothing here
speaks MQTT.
"""
