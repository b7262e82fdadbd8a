/** What a condition in an object's status shall say. */
export interface WantedCondition {
  readonly type: string;
  readonly isTrue: boolean;
  /** One word, for programs. */
  readonly reason: string;
  /** For people. */
  readonly message: string;
  /** Of the object that this was found out about; absent: the condition does not tell. */
  readonly observedGeneration?: number;
}
