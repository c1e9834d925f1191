using LlamaServe.V1;

namespace LlamaServe.Server.Tests.Support;

/// <summary>Requests that tests vary.</summary>
internal static class Requests
{
    /// <summary>Greedy, of a given length whatever the model says.</summary>
    public static GenerateRequest Text(string text, uint maxTokens) => new()
    {
        Text = text,
        Sampling = new SamplingOptions { Temperature = 0 },
        Stopping = new StoppingOptions { MaxTokens = maxTokens, IgnoreEos = true },
    };

    /// <summary>Takes seconds on <see cref="TestServer.LongTiny"/>.</summary>
    public static GenerateRequest Endless(string id = "") => Apply(Text("On and on", 30000), request =>
    {
        request.RequestId = id;
        request.Response = new ResponseOptions { Text = false };
    });

    public static GenerateRequest Apply(GenerateRequest request, Action<GenerateRequest> change)
    {
        change(request);
        return request;
    }
}
