using System.CommandLine;
using LlamaServe.Engine;
using LlamaServe.Engine.Requests;
using LlamaServe.Kernels.Cpu;
using LlamaServe.Models;

namespace LlamaServe.Bench.Peers;

/// <summary><c>agree</c>: whether llama.cpp and this engine continue a text alike.</summary>
internal static class AgreeCommand
{
    public static Command Create()
    {
        Option<string> model = new("--model") { Description = "A GGUF file; with F32 weights the two should agree.", Required = true };
        Argument<string> text = new("text") { Description = "The prompt." };
        Option<int> count = new("--count") { Description = "New tokens.", DefaultValueFactory = _ => 96 };
        Command command = new("agree", "Continue a text greedily with llama.cpp and with LlamaServe; fails where they differ.") { model, text, count };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            await LlamaCpp.InstallAsync(cancellationToken);
            string path = parsed.GetRequiredValue(model);
            (int[] prompt, Continuation ours) = await ContinueAsync(path, parsed.GetRequiredValue(text), parsed.GetValue(count), cancellationToken);
            Continuation peer = await LlamaCpp.ContinueAsync(path, prompt, parsed.GetValue(count), cancellationToken);
            Console.WriteLine($"llama.cpp:{peer.Text}");
            Console.WriteLine($"LlamaServe:{ours.Text}");
            int same = peer.TokenIds.Zip(ours.TokenIds).TakeWhile(pair => pair.First == pair.Second).Count();
            Console.WriteLine($"{same} of {peer.TokenIds.Length} tokens agree");
            return same == peer.TokenIds.Length && peer.Text == ours.Text ? 0 : 1;
        });
        return command;
    }

    /// <summary>This engine's greedy continuation of a text, past end ids.</summary>
    /// <returns>The text's ids, with what the model's tokenizer adds, and what followed.</returns>
    internal static async Task<(int[] Prompt, Continuation Continuation)> ContinueAsync(
        string modelPath, string text, int count, CancellationToken cancellationToken)
    {
        LoadedModel? model = null;
        EngineOptions options = new() { KvCacheBytes = 64 << 20 };
        await using LlamaEngine engine = new(() => model = ModelLoader.Load(modelPath, new CpuBackend()), options);
        await engine.StartAsync(cancellationToken);
        int[] prompt = [.. model!.Tokenizer.Encode(text)];
        GenerationRequest request = new()
        {
            PromptTokenIds = prompt,
            Sampling = SamplingParameters.Greedy,
            MaxTokens = count,
            IgnoreEos = true,
        };
        List<GeneratedToken> tokens = [];
        await foreach (GeneratedToken token in engine.GenerateAsync(request, cancellationToken))
        {
            tokens.Add(token);
        }

        return (prompt, new Continuation([.. tokens.Select(token => token.TokenId)], string.Concat(tokens.Select(token => token.Text))));
    }
}
