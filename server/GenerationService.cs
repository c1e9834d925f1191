using Grpc.Core;
using LlamaServe.Engine.Requests;
using LlamaServe.Server.Hosting;
using LlamaServe.Server.Mapping;
using LlamaServe.V1;
using FinishReason = LlamaServe.Engine.Requests.FinishReason;
using Generation = LlamaServe.Engine.Requests.Generation;

namespace LlamaServe.Server;

// Path 2/9: map, await foreach, write.

/// <summary>The gRPC face of the engine.</summary>
internal sealed class GenerationService(EngineHost host, ServerOptions options, ILogger<GenerationService> logger)
    : V1.Generation.GenerationBase
{
    // A reader that is behind gets its tokens in messages of at most this many.
    private const int MaxTokensPerMessage = 512;

    public override async Task Generate(
        GenerateRequest request, IServerStreamWriter<GenerateResponse> responseStream, ServerCallContext context)
    {
        HostedModel model = host.Serving(request.Model);
        GenerationRequest mapped = RequestMapper.ToEngine(request, model, context);
        Admission admission = model.Engine.Submit(mapped, context.CancellationToken);
        if (admission.Rejection is { } rejection)
        {
            bool isText = request.InputCase == GenerateRequest.InputOneofCase.Text;
            throw StatusTable.Refused(rejection, FieldPaths.Of(rejection.Field, isText));
        }
        using Generation generation = admission.Generation!;
        logger.RequestTaken(generation.RequestId, mapped.PromptTokenIds.Length);
        ResponseWriter writer = new(responseStream, context, options.Engine.SlowReaderTimeout);
        SampleFinish? failure = await Stream(generation, mapped.Samples, model.Name, writer);
        GenerationSummary? summary = generation.Summary;
        logger.RequestEnded(generation.RequestId, failure?.Reason.ToString() ?? "OK", summary?.CompletionTokens ?? 0);
        if (failure is not null)
        {
            // What the end of the drain cuts off is no fault of the request.
            bool isCutOff = host.IsDraining && !host.HasFailed && !context.CancellationToken.IsCancellationRequested
                && failure.Reason is (FinishReason.Cancelled or FinishReason.Error);
            throw isCutOff ? StatusTable.Draining() : StatusTable.Ended(failure.Reason, summary?.Error);
        }
    }

    public override Task<TokenizeResponse> Tokenize(TokenizeRequest request, ServerCallContext context)
    {
        List<int> ids = RequestMapper.Tokenize(request.Text, request.Tokenization, host.Serving(request.Model));
        return Task.FromResult(new TokenizeResponse { TokenIds = { ids.Select(id => (uint)id) } });
    }

    public override Task<DetokenizeResponse> Detokenize(DetokenizeRequest request, ServerCallContext context)
    {
        HostedModel model = host.Serving(request.Model);
        int[] ids = RequestMapper.Detokenizable(request, model);
        bool skipSpecialTokens = !request.HasSkipSpecialTokens || request.SkipSpecialTokens;
        return Task.FromResult(new DetokenizeResponse { Text = model.Tokenizer.Decode(ids, skipSpecialTokens) });
    }

    public override Task<GetModelInfoResponse> GetModelInfo(GetModelInfoRequest request, ServerCallContext context) =>
        Task.FromResult(ResponseMapper.ModelInfo(host.Serving(request.Model)));

    // Whatever is ready goes out together; a short answer is one message.
    private static async Task<SampleFinish?> Stream(Generation generation, int samples, string modelName, ResponseWriter writer)
    {
        DeltaBatch batch = new(samples);
        bool isFirst = true;
        while (await generation.Tokens.WaitToReadAsync())
        {
            while (batch.Count < MaxTokensPerMessage && generation.Tokens.TryRead(out GeneratedToken token))
            {
                batch.Add(token);
            }
            if (isFirst && generation.Prompt is { } prompt)
            {
                batch.Response.Prompt = ResponseMapper.Prompt(generation, prompt, modelName);
                isFirst = false;
            }
            if (batch.Finished == samples && batch.Failure is null)
            {
                await generation.Tokens.Completion;
                batch.Response.Usage = ResponseMapper.Usage(generation.Summary!);
                batch.Response.Timings = ResponseMapper.Timings(generation.Summary!, samples);
            }
            if (batch.Response.Deltas.Count > 0)
            {
                batch.Seal();
                await writer.Write(batch.Response);
            }
            batch.Clear();
        }
        return batch.Failure;
    }
}
