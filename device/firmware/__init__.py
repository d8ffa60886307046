"""The daemon: capture, motion gate, detector, tracker, rules, outbox, MQTT.

Open `pipeline.py` first (the road of one frame), then `daemon.py` (the parts and how they stop), then
`config.py` (what a camera can be told). Frames are looked at and thrown away here: no module of this
package writes a picture to disk or to the network.
"""
