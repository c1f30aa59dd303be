"""The charts of single chapters, a module each: functions of the chapter's tables."""
