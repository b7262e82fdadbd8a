/** The version of this waypoint. */
export const VERSION = '0.1.0';
