"""Brokers: who may say and hear what, written once (`acl.py`) and enforced twice.

`embedded.py` is amqtt with our plugins, for the demo and tests only: it forgets sessions when it
stops. `mosquitto.py` writes the configuration of the production broker for the same rules.
"""
