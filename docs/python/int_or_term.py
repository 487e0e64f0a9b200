"""What Python does by default: SIGINT is an exception, SIGTERM is the end."""
import sys, time

sys.stdout.reconfigure(line_buffering=True)
try:
    print("ready")
    time.sleep(60)
except KeyboardInterrupt:
    print("SIGINT came as KeyboardInterrupt")
    raise  # unhandled at the top it makes Python die of SIGINT, as it should
finally:
    print("finally: cleaned up")  # not reached after a SIGTERM
