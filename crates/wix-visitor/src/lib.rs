//! Gets, keeps, renews and uses the tokens of Wix Headless visitors.
