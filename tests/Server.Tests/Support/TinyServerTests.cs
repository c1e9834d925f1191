using LlamaServe.V1;

namespace LlamaServe.Server.Tests.Support;

/// <summary>A server with a random model of one token a byte, shared by the tests of a class.</summary>
public abstract class TinyServerTests
{
    private protected TestServer Server { get; private set; } = null!;

    [OneTimeSetUp]
    public async Task Start() => Server = await TestServer.StartTiny();

    [OneTimeTearDown]
    public async Task Stop() => await Server.DisposeAsync();

    private protected Task<StreamResult> Generate(GenerateRequest request) => StreamResult.Read(Server.Client.Generate(request));
}
