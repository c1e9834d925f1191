namespace LlamaServe.Bench.Training;

/// <summary>What the train verb was asked for. Amounts are in tokens, so that a slower machine trains the same model.</summary>
/// <param name="Data">Path of the text: one paragraph a line.</param>
/// <param name="Output">Folder of the snapshot.</param>
/// <param name="Checkpoints">Folder of the resumable state.</param>
/// <param name="Tokens">Training tokens to see in all, the cooldown's included.</param>
/// <param name="Cooldown">Tokens over which the learning rate falls linearly to zero at the end.</param>
/// <param name="Threads">Threads of the tensor library.</param>
internal sealed record TrainingOptions(
    string Data, string Output, string Checkpoints, long Tokens, long Cooldown, int Threads);
