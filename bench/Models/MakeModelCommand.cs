using System.CommandLine;
using LlamaServe.Kernels;

namespace LlamaServe.Bench.Models;

/// <summary><c>make-model</c>: writes a random Llama as GGUF.</summary>
internal static class MakeModelCommand
{
    public static Command Create()
    {
        LlamaShape defaults = new();
        Option<WeightFormat[]> formats = new("--format")
        {
            Description = "Storage formats of the matrices; one file each.",
            AllowMultipleArgumentsPerToken = true,
            DefaultValueFactory = _ => [WeightFormat.Q4_0, WeightFormat.Q8_0],
        };
        formats.AcceptOnlyFromAmong("F32", "F16", "BF16", "Q8_0", "Q4_0");
        Option<DirectoryInfo> folder = new("--folder")
        {
            Description = "Where the files go.",
            DefaultValueFactory = _ => BenchModel.DefaultFolder,
        };
        Option<ulong> seed = new("--seed")
        {
            Description = "Same seed, same file.",
            DefaultValueFactory = _ => BenchModel.DefaultSeed,
        };
        Option<int> hidden = Size("--hidden", "Width of the residual stream.", defaults.Hidden);
        Option<int> layers = Size("--layers", "Decoder layers.", defaults.Layers);
        Option<int> heads = Size("--heads", "Query heads.", defaults.Heads);
        Option<int> kvHeads = Size("--kv-heads", "Key and value heads.", defaults.KvHeads);
        Option<int> headSize = Size("--head-size", "Elements of a head.", defaults.HeadSize);
        Option<int> feedForward = Size("--feed-forward", "Width of the feed-forward layer.", defaults.FeedForward);
        Option<int> vocabulary = Size("--vocabulary", "Tokens.", defaults.Vocabulary);
        Option<int> context = Size("--context", "Longest context in tokens.", defaults.Context);
        Option<bool> untied = new("--untied") { Description = "Give the output projection weights of its own." };

        Command command = new("make-model", "Write a random Llama as GGUF, as fast to run as a trained one of its shape.")
        {
            formats, folder, seed, hidden, layers, heads, kvHeads, headSize, feedForward, vocabulary, context, untied,
        };
        command.SetAction(parsed =>
        {
            LlamaShape shape = new()
            {
                Hidden = parsed.GetValue(hidden),
                Layers = parsed.GetValue(layers),
                Heads = parsed.GetValue(heads),
                KvHeads = parsed.GetValue(kvHeads),
                HeadSize = parsed.GetValue(headSize),
                FeedForward = parsed.GetValue(feedForward),
                Vocabulary = parsed.GetValue(vocabulary),
                Context = parsed.GetValue(context),
                Tied = !parsed.GetValue(untied),
            };
            foreach (WeightFormat format in parsed.GetRequiredValue(formats))
            {
                Console.WriteLine(BenchModel.Ensure(parsed.GetRequiredValue(folder), shape, format, parsed.GetValue(seed)));
            }
        });
        return command;
    }

    private static Option<int> Size(string name, string description, int value) =>
        new(name) { Description = description, DefaultValueFactory = _ => value };
}
