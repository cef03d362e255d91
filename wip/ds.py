import sys; sys.path.insert(0,'/tmp/w')
from tr import *
from caufvae_lite.studies import scoreboard
def deep(sup=180.,lik=5.,name='deep',epochs=5,lr=4e-3):
    t,te=data(); r=scoreboard.with_controls()["DeepSCM"]
    torch.manual_seed(100)
    m=r.model(te.graph,(1,32,32),extra_dims=32,**r.options)
    cl.fit(m,t,epochs=epochs,seed=100,batch_size=64,lr=lr,device="cpu",progress=False,calibrate=False)
    return m
m=deep()
_,te=data(); J=judge()
for q,do in D.questions(te).items():
    truth=te.counterfactual(te.factors,do); x=m.counterfactual(te.images,do).images
    j,dg=J(x); ru=te.measure(x)
    print('deep',q,[round(v,3) for v in (mae(truth[:,0],j[:,0]),mae(truth[:,1],j[:,1]),(dg==truth[:,2:].argmax(-1)).float().mean().item(),(truth[:,0]-ru[:,0]).abs().nanmean().item(),(truth[:,1]-ru[:,1]).abs().nanmean().item(),r2(truth[:,1],ru[:,1].nan_to_num(0)))],flush=True)
pics=as_float(te.images); print(psnr(pics,m.reconstruct(te.images)))
