using System.CommandLine;
using LlamaServe.Bench.Torch;

namespace LlamaServe.Bench.Training;

/// <summary>The <c>train</c> verb: trains tokenizer and model on a text of tales and writes a model snapshot.</summary>
internal static class TrainCommand
{
    private const int SampleTokens = 200;

    private static readonly string[] Prompts =
        ["Once upon a time there was a", "The king's youngest daughter", "\"Who are you?\" said the fox."];

    public static Command Create()
    {
        var data = new Option<string>("--data") { Description = "Text to learn from: one paragraph a line.", Required = true };
        var output = new Option<string>("--output") { Description = "Folder the snapshot is written to.", Required = true };
        var checkpoints = new Option<string>("--checkpoints")
        {
            Description = "Folder of the resumable state; a file 'finish' put there starts the cooldown at once.",
            DefaultValueFactory = _ => Path.Combine(Path.GetTempPath(), "llamaserve-train"),
        };
        var tokens = new Option<long>("--tokens")
        {
            Description = "Training tokens to see in all; the bundled model saw the default.",
            DefaultValueFactory = _ => 14_028_800,
        };
        var cooldown = new Option<long>("--cooldown")
        {
            Description = "Tokens at the end over which the learning rate falls to zero.",
            DefaultValueFactory = _ => 1_638_400,
        };
        var threads = new Option<int>("--threads")
        {
            Description = "Threads of the tensor library.",
            DefaultValueFactory = _ => Environment.ProcessorCount,
        };
        var command = new Command("train", "Trains the bundled model again.") { data, output, checkpoints, tokens, cooldown, threads };
        command.SetAction(parsed =>
        {
            TorchRuntime.EnsureLoaded();
            var options = new TrainingOptions(
                parsed.GetRequiredValue(data), parsed.GetRequiredValue(output), parsed.GetRequiredValue(checkpoints),
                parsed.GetRequiredValue(tokens), parsed.GetRequiredValue(cooldown), parsed.GetRequiredValue(threads));
            using var run = new TrainingRun(TrainingRecipe.FairyTale5M, options, Console.Out);
            run.Run();
            for (int seed = 0; seed < Prompts.Length; seed++)
            {
                Console.WriteLine($"\n--- seed {seed} ---\n{run.Sample(Prompts[seed], SampleTokens, seed)}");
            }
            return 0;
        });
        return command;
    }
}
