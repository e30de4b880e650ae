"""Acts of the link itself: sessions and health of gateways, what goes down to them, who may claim an identity."""
