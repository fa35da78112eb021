"""Questions: frozen values with one ``answer(world)``; a module each."""
