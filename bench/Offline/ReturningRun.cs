using LlamaServe.Engine;
using LlamaServe.Engine.Requests;
using LlamaServe.Server;

namespace LlamaServe.Bench.Offline;

/// <summary>
/// Prompts that come back in turn, more of them than the KV cache holds: the least recently used one is always the next. Two engines
/// get the same ones by turns, one of them with a tier of the prefix cache in host memory.
/// </summary>
/// <param name="Prompts">How many.</param>
/// <param name="Tokens">Of each.</param>
/// <param name="Rounds">How often each comes back.</param>
internal sealed record ReturningRun(int Prompts, int Tokens, int Rounds)
{
    /// <param name="server">With host memory; one engine leaves it out.</param>
    /// <exception cref="ArgumentException">A value is out of range, or there is no host memory.</exception>
    /// <exception cref="InvalidOperationException">A request failed, or the engines disagree on a token.</exception>
    public async Task<ReturningResult> MeasureAsync(ServerOptions server, CancellationToken cancellationToken)
    {
        if (Prompts < 1 || Tokens < 1 || Rounds < 1 || server.Engine.KvHostBytes == 0)
        {
            throw new ArgumentException("--prompts, --tokens and --rounds are at least 1, and --kv-host-gb is more than 0");
        }

        ServerOptions alone = server with { Engine = server.Engine with { KvHostBytes = 0 } };
        await using LlamaEngine without = await OfflineEngine.StartAsync(alone, cancellationToken: cancellationToken);
        await using LlamaEngine with = await OfflineEngine.StartAsync(server, cancellationToken: cancellationToken);
        var ids = OfflineEngine.Ids(with, seed: 0);
        int[][] prompts = [.. Enumerable.Range(0, Prompts).Select(_ => ids.Draw(Tokens))];
        List<Turn> first = [], later = [];
        for (int round = 0; round <= Rounds; round++)
        {
            foreach (int[] prompt in prompts)
            {
                (round == 0 ? first : later).Add(await TurnAsync(without, with, prompt, withFirst: (first.Count + later.Count) % 2 == 1, cancellationToken));
            }
        }

        return ReturningResult.Of(this, first, later, with.GetStatistics(), server.Engine.BlockSize);
    }

    private static async Task<Turn> TurnAsync(LlamaEngine without, LlamaEngine with, int[] prompt, bool withFirst, CancellationToken cancellationToken)
    {
        Answer? early = withFirst ? await AskAsync(with, prompt, cancellationToken) : null;
        Answer recomputed = await AskAsync(without, prompt, cancellationToken);
        Answer fetched = early ?? await AskAsync(with, prompt, cancellationToken);
        return recomputed.Token == fetched.Token
            ? new Turn(recomputed, fetched)
            : throw new InvalidOperationException($"token {recomputed.Token} without host memory, {fetched.Token} with it");
    }

    private static async Task<Answer> AskAsync(LlamaEngine engine, int[] prompt, CancellationToken cancellationToken)
    {
        GenerationRequest request = new()
        {
            PromptTokenIds = prompt,
            Sampling = SamplingParameters.Greedy,
            MaxTokens = 1,
            IgnoreEos = true,
            ReturnText = false,
        };
        Admission admission = engine.Submit(request, cancellationToken);
        using Generation generation = admission.Generation ?? throw new InvalidOperationException(admission.Rejection!.Message);
        int token = -1;
        await foreach (GeneratedToken generated in generation.Tokens.ReadAllAsync(cancellationToken))
        {
            token = Math.Max(token, generated.TokenId);
        }

        cancellationToken.ThrowIfCancellationRequested();
        GenerationSummary summary = generation.Summary!;
        return token >= 0
            ? new Answer(token, summary.Timings.TimeToFirstToken.TotalSeconds, summary.CachedTokens)
            : throw new InvalidOperationException($"a request failed: {summary.Error}");
    }

    /// <summary>What one engine made of a prompt.</summary>
    internal readonly record struct Answer(int Token, double Seconds, int CachedTokens);

    /// <summary>What both made of it.</summary>
    internal readonly record struct Turn(Answer Without, Answer With);
}
