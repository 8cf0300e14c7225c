"""How the fleet has fared over time: figures of each day, without any person or tablet in them."""
