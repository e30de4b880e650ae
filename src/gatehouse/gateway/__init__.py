"""The agent on the site: it decides at the door, with the line cut if need be.

    https.claim(base_url, code, version, macs)   -> Identity; blocks; .save(folder)
    agent = Agent(AgentSettings(folder, base_url), driver, Clock(machine=machine_boot()))
    await agent.start()                          # decides from the store at once, connects in the background
    await agent.present(device, "pin", "1234")   -> Outcome(allowed, reason, relays, wait_s)
    await agent.input(device, "fire", True); await agent.door(device, relay, "open")
    agent.uplink.cut(); agent.uplink.mend()      # the cable; `agent.uplink.cable` also delays, doubles, reorders
    agent.status()                               -> AgentStatus, plain values, no person and no code
    await agent.stop()

A native controller is an agent whose driver is the controller's own hardware (`drivers.Driver`), with
itself as the only device. `process` is the program for a box with many devices behind it.
"""
