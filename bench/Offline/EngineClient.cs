using LlamaServe.Bench.Load;
using LlamaServe.Engine;
using LlamaServe.Engine.Requests;

namespace LlamaServe.Bench.Offline;

/// <summary>Asks an engine in this process, without server or network.</summary>
/// <param name="engine">Started; not owned.</param>
internal sealed class EngineClient(LlamaEngine engine) : IGenerationClient
{
    public async Task SendAsync(LoadRequest request, RequestRecord record, CancellationToken cancellationToken)
    {
        GenerationRequest asked = new()
        {
            PromptTokenIds = request.Prompt,
            Sampling = SamplingParameters.Greedy,
            MaxTokens = request.OutputTokens,
            IgnoreEos = true,
            ReturnText = false,
        };
        record.MarkSent();
        Admission admission = engine.Submit(asked, cancellationToken);
        if (admission.Generation is not { } generation)
        {
            record.MarkFailed(admission.Rejection!.Message);
            return;
        }

        await foreach (GeneratedToken token in generation.Tokens.ReadAllAsync(cancellationToken))
        {
            if (token.TokenId >= 0)
            {
                record.MarkPiece(1);
                record.Answer.Add(token.TokenId);
            }
        }

        cancellationToken.ThrowIfCancellationRequested();
        if (generation.Summary?.Error is { } error)
        {
            record.MarkFailed(error);
            return;
        }

        record.MarkEnded(outputTokens: null);
    }

    public void Dispose()
    {
    }
}
