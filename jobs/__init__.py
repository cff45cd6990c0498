"""What runs on a worker; never imports ray, mlflow or orchestrator."""
