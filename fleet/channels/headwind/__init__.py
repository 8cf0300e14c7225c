"""The channel of the open Headwind agent on Android tablets.

Source: the agent's wire contract, derived from h-mdm/hmdm-android 6.36 and hmdm-server 5.39.1.
"""
