"""Putting the pages into the application."""

from flask import Flask
from jinja2 import StrictUndefined

from fleet.config import Config
from fleet.web import absence as _absence
from fleet.web import absence_import as _absence_import
from fleet.web import account as _account
from fleet.web import account_alerts as _account_alerts
from fleet.web import (
    app_names,
    assets,
    bars,
    charts,
    errors,
    formats,
    languages,
    letters,
    nav,
    security,
    signed_in,
    words,
    words_alerts,
    words_arrivals,
    words_calendar,
    words_failures,
    words_jobs,
    words_lessons,
    words_people,
    words_profiles,
    words_reports,
    words_rules,
    words_silence,
    words_tablets,
)
from fleet.web import app_uploads as _app_uploads
from fleet.web import apps as _apps
from fleet.web import assignments as _assignments
from fleet.web import audit as _audit
from fleet.web import choose_password as _choose_password
from fleet.web import enrol as _enrol
from fleet.web import enrolment as _enrolment
from fleet.web import finding as _finding
from fleet.web import finding_answers as _finding_answers
from fleet.web import findings as _findings
from fleet.web import images as _images
from fleet.web import imports as _imports
from fleet.web import jobs as _jobs
from fleet.web import kept_data as _kept_data
from fleet.web import lesson as _lesson
from fleet.web import lesson_actions as _lesson_actions
from fleet.web import lesson_calibration as _lesson_calibration
from fleet.web import lesson_plans as _lesson_plans
from fleet.web import lesson_sets as _lesson_sets
from fleet.web import lesson_start as _lesson_start
from fleet.web import lesson_tablet as _lesson_tablet
from fleet.web import lessons as _lessons
from fleet.web import orders as _orders
from fleet.web import overview as _overview
from fleet.web import people as _people
from fleet.web import person as _person
from fleet.web import profile as _profile
from fleet.web import profile_edit as _profile_edit
from fleet.web import profile_publish as _profile_publish
from fleet.web import profiles as _profiles
from fleet.web import question as _question
from fleet.web import report as _report
from fleet.web import rule as _rule
from fleet.web import rules as _rules
from fleet.web import school as _school
from fleet.web import school_class as _school_class
from fleet.web import school_editing as _school_editing
from fleet.web import search as _search
from fleet.web import settings as _settings
from fleet.web import settings_after_school as _settings_after_school
from fleet.web import settings_alerts as _settings_alerts
from fleet.web import settings_calendar as _settings_calendar
from fleet.web import settings_import as _settings_import
from fleet.web import settings_lessons as _settings_lessons
from fleet.web import settings_letters as _settings_letters
from fleet.web import settings_mail as _settings_mail
from fleet.web import settings_times as _settings_times
from fleet.web import settings_undo as _settings_undo
from fleet.web import settings_webhook as _settings_webhook
from fleet.web import settings_webhooks as _settings_webhooks
from fleet.web import setup as _setup
from fleet.web import sign_in as _sign_in
from fleet.web import silence as _silence
from fleet.web import tablet as _tablet
from fleet.web import tablet_actions as _tablet_actions
from fleet.web import tablet_notes as _tablet_notes
from fleet.web import tablet_password as _tablet_password
from fleet.web import tablet_silence as _tablet_silence
from fleet.web import tablet_timeline as _tablet_timeline
from fleet.web import tablet_why as _tablet_why
from fleet.web import tablets as _tablets
from fleet.web import ticket as _ticket
from fleet.web import ticket_new as _ticket_new
from fleet.web import unsubscribe as _unsubscribe
from fleet.web.blueprint import web

SCREENS = (
    _enrolment, _ticket_new, _ticket, _imports, _setup,
    _sign_in, _choose_password, _enrol, _overview, _findings, _finding,
    _finding_answers, _rules, _rule, _school, _tablet, _tablet_actions, _tablets, _orders,
    _tablet_notes, _tablet_password, _tablet_timeline, _tablet_why, _school_class, _school_editing, _search,
    _lessons, _lesson, _lesson_actions, _lesson_calibration, _lesson_start, _lesson_tablet, _lesson_plans, _lesson_sets,
    _account, _account_alerts, _unsubscribe, _people, _person, _jobs, _audit,
    _settings, _settings_after_school, _settings_calendar, _settings_import, _settings_lessons, _settings_times,
    _settings_undo,
    _question,
    _settings_alerts, _settings_mail, _settings_letters, _settings_webhooks, _settings_webhook,
    _report, _kept_data,
    _absence, _absence_import, _silence, _tablet_silence,
    _profiles, _profile, _profile_edit, _profile_publish, _assignments, _apps, _app_uploads, _images,
)  # fmt: skip


def register(app: Flask) -> None:
    """Install everything the pages need, and the pages."""
    config: Config = app.extensions["fleet_config"]
    app.jinja_env.undefined = StrictUndefined  # a name that nobody gave is a fault, not an empty text
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.globals.update(
        words=words, words_lessons=words_lessons, words_people=words_people, words_profiles=words_profiles, bars=bars
    )
    app.jinja_env.globals.update(
        words_arrivals=words_arrivals, words_tablets=words_tablets, words_calendar=words_calendar
    )
    app.jinja_env.globals.update(words_jobs=words_jobs, words_silence=words_silence)
    app.jinja_env.globals.update(words_rules=words_rules, charts=charts)
    app.jinja_env.globals.update(words_alerts=words_alerts, words_failures=words_failures)
    app.jinja_env.globals.update(words_reports=words_reports)
    security.install(app, is_https=config.public_url.startswith("https:"))
    signed_in.install(app)
    languages.install(app)
    nav.install(app)
    app_names.install(app)
    formats.install(app)
    assets.install(app)
    letters.install(app)
    errors.install(app)
    app.register_blueprint(web)
