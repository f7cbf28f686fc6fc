"""Device drivers, one file each; installed as exo_um.drivers. None is built yet."""
